package check

import (
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/radio"
)

// A Failure is a script in which the contract was broken.
type Failure struct {
	Script *Script
	Why    string
}

// Error returns why, the script, and what more is known, as stacks.
func (f *Failure) Error() string {
	why, more, _ := strings.Cut(f.Why, "\n")
	return why + "\nin the script:\n" + f.Script.String() + more
}

// A runner runs scripts, one at a time.
type runner struct {
	t        *testing.T
	count    *Counts
	sabotage *sabotage
	// most is how long a script may take in real time. Zero means standstill.
	most time.Duration
}

func (r *runner) limit() time.Duration {
	if r.most > 0 {
		return r.most
	}
	return standstill
}

var shared struct {
	once  sync.Once
	certs *certificates
	err   error
}

// sharedCertificates makes the certificates of all runs, in a bubble of their own:
// virtual time begins at the same moment in each.
func sharedCertificates(t *testing.T) (*certificates, error) {
	shared.once.Do(func() {
		synctest.Test(t, func(*testing.T) {
			radio.Begin()
			shared.certs, shared.err = newCertificates()
		})
	})
	return shared.certs, shared.err
}

// run runs a script in a bubble of its own and returns why it failed, "" if it did
// not.
func (r *runner) run(s *Script) (why string) {
	certs, err := sharedCertificates(r.t)
	if err != nil {
		return err.Error()
	}
	var w *world
	// A goroutine that waits for a mutex, and not for virtual time, can hold up a
	// bubble for ever. Nothing but this ends it.
	guard := time.AfterFunc(r.limit(), func() { panic(standsStill + "\n" + s.String()) })
	defer guard.Stop()
	defer func() {
		// A deadlock, or goroutines that are left, end the bubble with a panic.
		if p := recover(); p != nil {
			w.fail("%v", p)
			why = w.why
		}
	}()
	synctest.Test(r.t, func(*testing.T) {
		radio.Begin()
		w = newWorld(s, certs, r.count, r.sabotage) // its channels belong to the bubble
		w.guarded()
	})
	return w.why
}

// guarded is run, with its panics as failures and within a limit of virtual time.
func (w *world) guarded() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.caught()
		w.run()
	}()
	select {
	case <-done:
		synctest.Wait()
	case <-time.After(limit):
		w.fail("the script did not end within %v", limit)
	}
	// What is left makes the bubble panic. The stacks tell who.
	if left := goroutines(""); left != "" {
		w.fail("goroutines are left after everything was closed:\n%.20000s", left)
	}
}

// standstill is how long a script may take in real time: a thousand times what it
// does.
const standstill = 2 * time.Minute

// standsStill is how the panic begins that ends a script that takes longer.
const standsStill = "this script stands still:"

// limit is how long a script may take in virtual time.
const limit = time.Hour

// goroutines returns the stacks of this bubble's other goroutines that are within
// a package, "" if there is none.
func goroutines(within string) string {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	bubble := bubbleOf(all[0]) // the caller comes first
	var left []string
	for _, g := range all[1:] {
		if bubbleOf(g) == bubble && strings.Contains(g, within) && !strings.Contains(g, "synctest.Run(") && !strings.Contains(g, "testingSynctestTest(") {
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}

// bubbleOf returns what names the bubble in the first line of a goroutine's stack:
// "goroutine 8 [select, synctest bubble 3]:".
func bubbleOf(stack string) string {
	head, _, _ := strings.Cut(stack, "\n")
	_, bubble, ok := strings.Cut(head, "synctest bubble ")
	if !ok {
		return ""
	}
	bubble, _, _ = strings.Cut(bubble, "]")
	bubble, _, _ = strings.Cut(bubble, ",")
	return bubble
}
