// Goroutines that spin, sleep and allocate on 16 processors: Go sends its threads SIGURG to preempt them.
// Ends on SIGTERM.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var rounds int64
var Stop int32

//go:noinline
func work(n int64) int64 {
	atomic.AddInt64(&rounds, 1)
	return n*3 + 1
}

func spin(n int64) {
	for atomic.LoadInt32(&Stop) == 0 {
		for i := 0; i < 1000; i++ {
			n = work(n)
		}
	}
}

func main() {
	runtime.GOMAXPROCS(16)
	debug.SetGCPercent(10)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	var group sync.WaitGroup
	for i := 0; i < 20; i++ {
		group.Add(1)
		go func() { defer group.Done(); runtime.LockOSThread(); spin(int64(i)) }()
		go func() { // threads that sleep in system calls
			for {
				syscall.Nanosleep(&syscall.Timespec{Nsec: 2000000}, nil)
			}
		}()
	}
	go func() {
		for atomic.LoadInt32(&Stop) == 0 {
			_ = make([]byte, 1<<16)
			runtime.Gosched()
		}
	}()
	for beat := 0; ; beat++ {
		fmt.Printf("beat %d rounds %d\n", beat, atomic.LoadInt64(&rounds))
		select {
		case <-ended:
			atomic.StoreInt32(&Stop, 1)
			group.Wait()
			fmt.Printf("done rounds=%d\n", atomic.LoadInt64(&rounds))
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
