//go:build cgo

package wasmtime

// #include "guest.h"
import "C"

import (
	"context"
	"errors"
	"time"
	"unsafe"

	"github.com/bungee-xr/bungee/executor"
)

// What guest.c calls runs on the goroutine that runs the guest.

//export bungee_host
func bungee_host(self *C.uint8_t, k C.size_t, words *C.uint64_t, n C.size_t) C.bool {
	return C.bool(instanceOf(self).host(int(k), unsafe.Slice((*uint64)(words), n)))
}

//export bungee_tick
func bungee_tick(self *C.uint8_t) C.bool { return C.bool(instanceOf(self).tick()) }

// host calls import k in place of the guest.
func (i *instance) host(k int, words []uint64) bool {
	if i.link.Metered {
		i.look()
	}
	for j, c := range []byte(i.module.need.Imports[k].Params) {
		if c == 'i' || c == 'f' {
			words[j] = uint64(uint32(words[j])) // the rest is undefined
		}
	}
	err := i.link.Call(k, i, words)
	if i.link.Metered {
		i.look()
	}
	return err == nil
}

// tick says whether the guest may go on. It is called once each tick at most.
func (i *instance) tick() bool {
	if i.link.Metered {
		i.look()
	}
	if i.stop = i.run.over(time.Now()); i.stop != nil {
		return false
	}
	if i.run.turn == nil {
		return true
	}
	if i.settle(); i.run.turn.Yield(i.run.ctx) {
		return true
	}
	i.stop = ended(i.run.ctx.Err()) // while it waited for a core
	return false
}

// over returns why a guest has to be stopped at now, nil when it may go on.
func (r *run) over(now time.Time) error {
	if !r.deadline.IsZero() && !now.Before(r.deadline) {
		return executor.ErrDeadline
	}
	stop := ended(r.ctx.Err())
	if stop != executor.ErrCanceled {
		return stop
	}
	if r.canceled.IsZero() {
		r.canceled = now
	}
	if now.Sub(r.canceled) < executor.CancelGrace {
		return nil
	}
	return stop
}

// ended returns why a guest is stopped whose context has ended with err.
func ended(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return executor.ErrDeadline
	}
	return executor.ErrCanceled
}
