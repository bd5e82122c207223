// Package host gives guests a scratch: package scratch as host functions.
//
// A guest that uses package scratch imports [Functions]; docs/hostfunctions.md describes
// all of them.
//
//	host.Provider{Name: scratch.Name, Functions: func(capability.Grant) executor.HostFuncs {
//		return scratch.Functions()
//	}}
//
// The values belong to what the call is billed to ([executor.AccountOf]), which at an
// edge host is a session of a UE, and go with it. Those of a call that is billed to
// nobody belong to the instance. What an account keeps is bounded by the constants of
// package scratch; it lies outside the instances' memory limits.
package host

import (
	"context"
	"errors"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/scratch"
)

// Name is the name that guests import the functions by, and that manifests and policies
// call them by.
const Name = "bungee_scratch"

// storeKey is where an account has its store.
type storeKey struct{}

// Functions returns the host functions that keep values for guests. They serve many
// instances.
func Functions() executor.HostFuncs {
	return executor.HostFuncs{Name: Name, New: func() ([]executor.HostFunc, func()) {
		var s state
		return []executor.HostFunc{
			executor.Typed("get", s.get),
			executor.Typed("set", s.set),
			executor.Typed("delete", s.delete),
		}, nil
	}}
}

// A state is what an instance has.
type state struct{ own scratch.Store }

// of returns the store of ctx's call.
func (s *state) of(ctx context.Context) *scratch.Store {
	account := executor.AccountOf(ctx)
	if account == nil {
		return &s.own
	}
	return account.Value(storeKey{}, func() any { return new(scratch.Store) }).(*scratch.Store)
}

type keyIn struct{ Key string }

type valueIn struct {
	Key   string
	Value []byte
}

// get returns how long a value is, -1 for none, and copies it if there is room.
func (s *state) get(ctx context.Context, in valueIn) (int32, error) {
	n := int32(-1)
	s.of(ctx).View(in.Key, func(v []byte) {
		n = int32(len(v))
		if len(in.Value) >= len(v) {
			copy(in.Value, v)
		}
	})
	return n, nil
}

// Values of an errno.
const (
	errnoTooLarge = -1
	errnoFull     = -2
)

// set sets a value, by an errno.
func (s *state) set(ctx context.Context, in valueIn) (int32, error) {
	switch err := s.of(ctx).Set(in.Key, in.Value); {
	case errors.Is(err, scratch.ErrTooLarge):
		return errnoTooLarge, nil
	case err != nil:
		return errnoFull, nil
	}
	return 0, nil
}

func (s *state) delete(ctx context.Context, in keyIn) (struct{}, error) {
	s.of(ctx).Delete(in.Key)
	return struct{}{}, nil
}
