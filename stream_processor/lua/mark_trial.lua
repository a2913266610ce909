-- mark_trial: notes what a consumer tries now, or, without a place, that its try has ended.
-- KEYS[1] the entry's trials   ARGV[1] consumer   ARGV[2] seconds until all of it is forgotten   ARGV[3] place, or none
-- Returns 1.
local function mark_trial(keys, argv)
  if argv[3] then
    redis.call('HSET', keys[1], 'at:' .. argv[1], argv[3])
  else
    redis.call('HDEL', keys[1], 'at:' .. argv[1])
  end
  redis.call('EXPIRE', keys[1], argv[2])
  return 1
end
