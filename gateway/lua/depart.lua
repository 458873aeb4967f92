-- A device leaves a profile: from the reply on, the tokens that it was given before read nothing there.
--
-- KEYS 1  inbox:{p}:app:profile  hash
-- ARGV 1  device id
--      2  tokens issued before this are refused, ms
--      3  tokens issued before this have ended by themselves, ms
--      4  how long the inbox is kept, ms
--      5  channel of inbox changes
--      6  what to say there: app:profile, so that held polls look again
-- Reply: 1.
-- Allowed when memory is full: a logout must not depend on that.
local MANY = 200

local function forget_ended(key, ended)
  local fields = server.call('HGETALL', key)
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 5) == 'gone:' and tonumber(fields[i + 1]) < ended then
      server.call('HDEL', key, fields[i])
    end
  end
end

local function depart(keys, args)
  local field = 'gone:' .. args[1]
  local before = tonumber(server.call('HGET', keys[1], field) or '0')
  if tonumber(args[2]) > before then
    server.call('HSET', keys[1], field, args[2])
  end
  if server.call('HLEN', keys[1]) > MANY then
    forget_ended(keys[1], tonumber(args[3]))
  end
  server.call('PEXPIRE', keys[1], args[4])
  server.call('SPUBLISH', args[5], args[6])
  return 1
end

server.register_function{function_name = 'depart', callback = depart, flags = {'allow-oom'}}
