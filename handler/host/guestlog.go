package host

import (
	"log/slog"
	"sync"
	"time"
)

// maxLines is how many lines a second the instances of a module may log: enough to
// follow a fault, too few to fill a disk unseen.
const maxLines = 100

// guestLog returns the function that logs the lines of a module's instances. Many
// goroutines may call it. It drops lines over maxLines and logs how many.
func guestLog(log *slog.Logger) func(string) {
	var mu sync.Mutex
	var since time.Time
	var lines, dropped int
	return func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(since) >= time.Second {
			if dropped > 0 {
				log.Warn("guest logs too much", "dropped", dropped)
			}
			since, lines, dropped = now, 0, 0
		}
		if lines++; lines > maxLines {
			dropped++
			return
		}
		log.Info("guest", "says", line)
	}
}
