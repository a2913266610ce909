#!lua name=bench_entry_each
-- One stream entry an event, in one atomic call: the shape that Weir does not use.
-- KEYS: stream. ARGV: events. Returns how many.
redis.register_function('bench_entry_each', function(keys, argv)
  for i = 1, #argv do redis.call('XADD', keys[1], '*', 'e', argv[i]) end
  return #argv
end)
