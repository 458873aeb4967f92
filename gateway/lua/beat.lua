-- A worker says that it lives, and learns who else does.
--
-- KEYS 1  workers   zset   name → when it counts as gone, ms
-- ARGV 1  name of the worker
--      2  now, ms
--      3  when it counts as gone unless it says so again, ms
-- Reply: the names of all that live.
-- Allowed when memory is full: without owners the log would never be drained.
local function beat(keys, args)
  server.call('ZADD', keys[1], args[3], args[1])
  server.call('ZREMRANGEBYSCORE', keys[1], '-inf', args[2])
  return server.call('ZRANGE', keys[1], 0, -1)
end

server.register_function{function_name = 'beat', callback = beat, flags = {'allow-oom'}}
