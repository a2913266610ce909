-- settle: acknowledges entries whose events are committed, deletes them, and counts their events as settled.
-- KEYS[1] stream   KEYS[2] its totals   ARGV[1] group   ARGV[2..] id, events, id, events, ...
-- An entry that is no longer pending is passed over, so nothing is counted twice. Returns the entries settled.
local CHUNK = 4000 -- of Lua's stack, which holds a call's arguments
local function settle(keys, argv)
  local ours, events = {}, 0
  for i = 2, #argv, 2 do
    if redis.call('XACK', keys[1], argv[1], argv[i]) == 1 then
      ours[#ours + 1] = argv[i]
      events = events + tonumber(argv[i + 1])
    end
  end
  for from = 1, #ours, CHUNK do
    redis.call('XDEL', keys[1], unpack(ours, from, math.min(from + CHUNK - 1, #ours)))
  end
  if events > 0 then count_settled(keys[2], events) end
  return #ours
end
