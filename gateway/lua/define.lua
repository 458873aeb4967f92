-- Save a definition (an app, a journey, …), unless it has changed since the caller read it.
--
-- KEYS 1  {definitions}:apps, :journeys, …  hash
--      2  {definitions}:version             int   grows with every change
-- ARGV 1  field
--      2  the definition, packed
--      3  what it replaces, packed; empty when there must be none
--      4  channel that tells all processes
-- Reply: 1 when saved, 0 when something else stands there now.
local function define(keys, args)
  if (server.call('HGET', keys[1], args[1]) or '') ~= args[3] then
    return 0
  end
  server.call('HSET', keys[1], args[1], args[2])
  server.call('INCR', keys[2])
  server.call('SPUBLISH', args[4], '')
  return 1
end

server.register_function('define', define)
