-- A device leaves a profile: from the reply on, its token reads nothing there.
--
-- KEYS 1  inbox:{p}:app:profile  hash
-- ARGV 1  device id
--      2  how long the inbox is kept, ms
--      3  channel of inbox changes
--      4  what to say there (packed app:profile), so that held polls look again
-- Reply: 1.
local function depart(keys, args)
  server.call('HSET', keys[1], 'gone:' .. args[1], '1')
  server.call('PEXPIRE', keys[1], args[2])
  server.call('SPUBLISH', args[3], args[4])
  return 1
end

-- Allowed when memory is full: a logout must not depend on that.
server.register_function{function_name = 'depart', callback = depart, flags = {'allow-oom'}}
