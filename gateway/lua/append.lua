-- Append one batch to the event log, once.
--
-- KEYS 1  log:{p}             stream   the partition's log
--      2  seen:{p}:app:source string   what this source sent before: the largest prefix of an id
--                                      (15 digits), then a fingerprint of each id (8 bytes)
-- ARGV 1  field of the entry: how it is packed
--      2  the packed entry
--      3  fingerprints, 8 bytes each: the batch id, then one for each event
--      4  the smallest prefix of the event ids: their first 48 bits, as a number
--      5  the largest prefix
--      6  how many ids to remember; half of them survive a trim
--      7  how long to remember them at least, ms
--      8  channel that tells the partition's worker
-- Reply: how many of the events are repeats; all of them when the batch is one.
local HEAD = 15

local function find_repeats(seen, fingerprints)
  local repeats
  for i = 9, #fingerprints, 8 do
    -- A plain find may also match across two neighbours: once in 2^53 even for a full memory.
    if string.find(seen, string.sub(fingerprints, i, i + 7), HEAD + 1, true) then
      repeats = repeats or {}
      repeats[#repeats + 1] = (i - 9) / 8
    end
  end
  return repeats
end

local function without(fingerprints, places)
  local parts, from = {}, 1
  for _, place in ipairs(places) do
    local at = 9 + place * 8
    parts[#parts + 1] = string.sub(fingerprints, from, at - 1)
    from = at + 8
  end
  parts[#parts + 1] = string.sub(fingerprints, from)
  return table.concat(parts)
end

local function append(keys, args)
  local log, seen_key, fingerprints = keys[1], keys[2], args[3]
  local oldest, newest = tonumber(args[4]), tonumber(args[5])
  -- Up to twice as long as asked for, so that not every upload has to renew it.
  local room, ttl = HEAD + tonumber(args[6]) * 8, 2 * tonumber(args[7])
  local before = tonumber(server.call('GETRANGE', seen_key, 0, HEAD - 1))
  local fresh, repeats = fingerprints, nil

  -- Ids that grow with time (version 7) are larger than all before them, so none can be a repeat, and the
  -- memory need not be looked at: 40 us less for 50 events. Random ids just never get past this.
  if before and oldest <= before then
    local seen = server.call('GET', seen_key)
    if string.find(seen, string.sub(fingerprints, 1, 8), HEAD + 1, true) then
      return #fingerprints / 8 - 1
    end
    repeats = find_repeats(seen, fingerprints)
    fresh = repeats and without(fingerprints, repeats) or fingerprints
    newest = math.max(newest, before)
  end

  local head = string.format('%0' .. HEAD .. '.0f', newest)
  if before then
    if newest > before then
      server.call('SETRANGE', seen_key, 0, head)
    end
    if server.call('APPEND', seen_key, fresh) > room then
      -- Trimming to half makes it rare: the log file would grow by the whole memory each time.
      local keep = math.max((room - HEAD) / 2, #fresh)
      local kept = server.call('GETRANGE', seen_key, -keep, -1)
      server.call('SET', seen_key, head .. kept, 'PX', ttl)
    elseif server.call('PTTL', seen_key) < ttl / 2 then
      server.call('PEXPIRE', seen_key, ttl)
    end
  else
    server.call('SET', seen_key, head .. fresh, 'PX', ttl)
  end

  if #fresh > 8 or #fingerprints == 8 then
    if repeats then
      server.call('XADD', log, '*', args[1], args[2], 's', table.concat(repeats, ','))
    else
      server.call('XADD', log, '*', args[1], args[2])
    end
    server.call('SPUBLISH', args[8], '')
  end
  return repeats and #repeats or 0
end

server.register_function('append', append)
