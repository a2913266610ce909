-- drop_accepted: removes accepted counts that PostgreSQL has, unless they have grown meanwhile.
-- KEYS[1] accepted counts   ARGV[1..] field, count, field, count, ...
-- Returns how many were removed.
local function drop_accepted(keys, argv)
  local dropped = 0
  for i = 1, #argv, 2 do
    if redis.call('HGET', keys[1], argv[i]) == argv[i + 1] then
      dropped = dropped + redis.call('HDEL', keys[1], argv[i])
    end
  end
  return dropped
end
