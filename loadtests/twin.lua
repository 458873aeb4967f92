-- Duplicates out, the rest into the log, in one step.
-- KEYS[1] set   ids this device sent lately        KEYS[2] set   ids it sent before those
-- KEYS[3] stream the event log
-- ARGV[1] device  ARGV[2] profile  ARGV[3] received_at  ARGV[4] body  ARGV[5] ids kept
-- ARGV[6] batch id  ARGV[7…] event ids, 16 bytes each
-- Answers the positions of the duplicates, or {-1} when the whole batch is one.
local recent, older, log = KEYS[1], KEYS[2], KEYS[3]
if redis.call('SISMEMBER', recent, ARGV[6]) + redis.call('SISMEMBER', older, ARGV[6]) > 0 then
  return {-1}
end
local in_recent = redis.call('SMISMEMBER', recent, unpack(ARGV, 7))
local in_older = redis.call('SMISMEMBER', older, unpack(ARGV, 7))
local duplicates = {}
for position = 1, #in_recent do
  if in_recent[position] + in_older[position] > 0 then
    duplicates[#duplicates + 1] = position - 1
  end
end
if #duplicates < #in_recent then
  redis.call('XADD', log, '*', 'd', ARGV[1], 'p', ARGV[2], 't', ARGV[3], 'b', ARGV[4],
    's', table.concat(duplicates, ','))
end
redis.call('SADD', recent, unpack(ARGV, 6))
if redis.call('SCARD', recent) >= tonumber(ARGV[5]) then
  redis.call('RENAME', recent, older)
  redis.call('EXPIRE', older, 604800)
else
  redis.call('EXPIRE', recent, 604800)
end
return duplicates
