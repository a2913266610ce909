-- write_off: counts lost events as settled, so that length and lag are right again.
-- KEYS[1] stream   KEYS[2] its totals   ARGV[1] group
-- In a stream without entries, and with none pending, every event that was added is settled or lost: entries are appended
-- and settled in one step with their count. While there are entries it cannot be told, and nothing is done.
-- Returns the events written off.
local function write_off(keys, argv)
  if redis.call('XLEN', keys[1]) > 0 then return 0 end
  local pending = redis.pcall('XPENDING', keys[1], argv[1])
  if pending.err or pending[1] > 0 then return 0 end
  local totals = redis.call('HMGET', keys[2], 'added', 'settled')
  local lost = tonumber(totals[1] or 0) - tonumber(totals[2] or 0)
  if lost <= 0 then return 0 end
  redis.call('HINCRBY', keys[2], 'settled', lost)
  return lost
end
