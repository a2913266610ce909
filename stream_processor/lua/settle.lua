-- settle: acknowledges entries whose events are committed, deletes them, and counts their events as settled.
-- KEYS[1] stream   KEYS[2] its totals   ARGV[1] group   ARGV[2..] id, events, id, events, ...
-- An entry that is no longer pending is passed over, so nothing is counted twice. Returns the entries settled.
local function settle(keys, argv)
  local entries, events = 0, 0
  for i = 2, #argv, 2 do
    if redis.call('XACK', keys[1], argv[1], argv[i]) == 1 then
      redis.call('XDEL', keys[1], argv[i])
      entries = entries + 1
      events = events + tonumber(argv[i + 1])
    end
  end
  if events > 0 then count_settled(keys[2], events) end
  return entries
end
