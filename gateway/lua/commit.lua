-- A worker's transaction: all of the commands, or none when the partition has a newer owner.
--
-- KEYS 1  epoch:{p}   int   grows with each new owner
--      …  every other key that the commands name, all of the same partition
-- ARGV 1  the epoch under which the worker read what it now writes
--      2… the commands: number of words, words, number of words, words, …
-- Reply: 0 when fenced, 1 when written, else the errors of the commands that were refused: all others are
-- written. A function can't be rolled back; stopping at the first error would leave a state without its
-- cursor, and the same entries would be counted again and again.
-- Allowed when memory is full: what a worker commits lets the log be trimmed.
local function run(args, first, last)
  server.call(unpack(args, first, last))
end

local function commit(keys, args)
  if server.call('GET', keys[1]) ~= args[1] then
    return 0
  end
  local errors
  local at = 2
  while at <= #args do
    local count = tonumber(args[at])
    local done, fault = pcall(run, args, at + 1, at + count)
    if not done then
      errors = errors or {}
      errors[#errors + 1] = type(fault) == 'table' and fault.err or tostring(fault)
    end
    at = at + count + 1
  end
  return errors or 1
end

server.register_function{function_name = 'commit', callback = commit, flags = {'allow-oom'}}
