#@ about: launch, one breakpoint, backtrace, step, finish, exit: the shape of every first session
#@ program: steps
#@ modes: both
break inner
continue
backtrace
info threads
print x
next
next
print y
finish
delete
continue
