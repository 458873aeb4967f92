-- Append one batch to the event log, once.
--
-- KEYS 1  log:{p}             stream   the partition's log
--      2  seen:{p}:app:source string   8 byte fingerprints of the ids this source sent before
-- ARGV 1  the packed entry
--      2  fingerprints, 8 bytes each: the batch id, then one for each event
--      3  how many ids to remember; half of them survive a trim
--      4  how long to remember them, ms
--      5  channel that tells the partition's worker
-- Reply: how many of the events are repeats; all of them when the batch is one.
local function append(keys, args)
  local log, seen_key = keys[1], keys[2]
  local fingerprints = args[2]
  local seen = server.call('GET', seen_key)
  local fresh, repeats = fingerprints, nil

  if seen then
    -- A plain find may also match across two neighbours: once in 2^53 even for a full memory.
    if string.find(seen, string.sub(fingerprints, 1, 8), 1, true) then
      return #fingerprints / 8 - 1
    end
    for i = 9, #fingerprints, 8 do
      if string.find(seen, string.sub(fingerprints, i, i + 7), 1, true) then
        repeats = repeats or {}
        repeats[#repeats + 1] = (i - 9) / 8
      end
    end
    if repeats then
      local parts, from = {}, 1
      for _, place in ipairs(repeats) do
        local at = 9 + place * 8
        parts[#parts + 1] = string.sub(fingerprints, from, at - 1)
        from = at + 8
      end
      parts[#parts + 1] = string.sub(fingerprints, from)
      fresh = table.concat(parts)
    end
  end

  local ttl = tonumber(args[4])
  local room = tonumber(args[3]) * 8
  if seen and #seen + #fresh <= room then
    server.call('APPEND', seen_key, fresh)
    if server.call('PTTL', seen_key) < ttl / 2 then
      server.call('PEXPIRE', seen_key, ttl)
    end
  else
    -- Trimming to half makes it rare: the log file would grow by the whole memory each time.
    local all = (seen or '') .. fresh
    if #all > room then
      all = string.sub(all, -math.max(room / 2, #fresh))
    end
    server.call('SET', seen_key, all, 'PX', ttl)
  end

  if #fresh > 8 or #fingerprints == 8 then
    if repeats then
      server.call('XADD', log, '*', 'b', args[1], 's', table.concat(repeats, ','))
    else
      server.call('XADD', log, '*', 'b', args[1])
    end
    server.call('SPUBLISH', args[5], '')
  end
  return repeats and #repeats or 0
end

server.register_function('append', append)
