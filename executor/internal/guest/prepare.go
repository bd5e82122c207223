package guest

import (
	"fmt"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
	"github.com/bungee-xr/bungee/executor/internal/shape"
	"github.com/bungee-xr/bungee/executor/internal/startup"
)

// Version changes when engines get other code of a module from [Prepare].
var Version = fmt.Sprint("instrument ", instrument.Version, " startup ", startup.Version)

// Prepare returns the module of src as an engine compiles it: of the right digest, and
// with its instrumentation, and with all that it does at its start in _initialize. What the
// source and the module's manifest ask for is part of that, and two things always: that the module tells
// when it was refused memory, as no engine tells, and that it does bulk instructions bit by
// bit, as no engine stops one.
// A module that is over the bounds of the default [executor.Shape] is ErrTooLarge. Engines
// call Prepare in Load where their cache has nothing.
func Prepare(src executor.Source) (wasm []byte, m capability.Manifest, err error) {
	return PrepareWithin(src, executor.Shape{})
}

// PrepareWithin is Prepare with other bounds.
func PrepareWithin(src executor.Source, most executor.Shape) (wasm []byte, m capability.Manifest, err error) {
	if wasm, err = src.Read(); err != nil {
		return nil, m, err
	}
	if err := shape.Check(wasm, most); err != nil {
		return nil, m, err
	}
	if m, err = capability.Read(wasm); err != nil {
		return nil, m, fmt.Errorf("%w: %w", executor.ErrABI, err)
	}
	opts := instrument.Options{Fuel: src.Meter, CanonicalNaN: m.Deterministic, Refusals: true, Split: true}
	if wasm, err = instrument.Rewrite(wasm, opts); err != nil {
		return nil, m, fmt.Errorf("%w: %w", executor.ErrABI, err)
	}
	if wasm, err = startup.Rewrite(wasm); err != nil {
		return nil, m, fmt.Errorf("%w: %w", executor.ErrABI, err)
	}
	return wasm, m, nil
}
