-- Take or keep a partition.
--
-- KEYS 1  lease:{p}   string  the owner's name; gone when it was silent for too long
--      2  epoch:{p}   int     grows with each new owner, so that the commits of the old one are refused
-- ARGV 1  name of the worker
--      2  how long the lease lasts, ms
--      3  the epoch the worker holds; 0 when it has none
-- Reply: the epoch, or 0 when somebody else owns the partition.
local function lease(keys, args)
  local owner = server.call('GET', keys[1])
  local epoch = server.call('GET', keys[2]) or '0'
  if owner and owner ~= args[1] then
    return 0
  end
  server.call('SET', keys[1], args[1], 'PX', args[2])
  if owner and epoch == args[3] then
    return tonumber(epoch)
  end
  -- Also for a worker of the same name: it is a new process, and an older one may still be writing.
  return server.call('INCR', keys[2])
end

-- Give a partition back, so that its next owner need not wait. KEYS and ARGV 1 as above.
local function release(keys, args)
  if server.call('GET', keys[1]) == args[1] then
    return server.call('DEL', keys[1])
  end
  return 0
end

server.register_function{function_name = 'lease', callback = lease, flags = {'allow-oom'}}
server.register_function{function_name = 'release', callback = release, flags = {'allow-oom'}}
