-- A worker's transaction: all of the commands, or none when the partition has a newer owner.
--
-- KEYS 1  epoch:{p}   int   grows with each new owner
--      …  every other key that the commands name, all of the same partition
-- ARGV 1  the epoch under which the worker read what it now writes
--      2… the commands: number of words, words, number of words, words, …
-- Reply: 1 when written, 0 when fenced.
-- Allowed when memory is full: what a worker commits lets the log be trimmed.
local function commit(keys, args)
  if server.call('GET', keys[1]) ~= args[1] then
    return 0
  end
  local at = 2
  while at <= #args do
    local count = tonumber(args[at])
    server.call(unpack(args, at + 1, at + count))
    at = at + count + 1
  end
  return 1
end

server.register_function{function_name = 'commit', callback = commit, flags = {'allow-oom'}}
