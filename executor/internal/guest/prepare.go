package guest

import (
	"fmt"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// Prepare returns the module of src as an engine compiles it: of the right digest,
// and with its instrumentation, which the source and the module's manifest ask
// for. Engines call it in Load where their cache has nothing.
func Prepare(src executor.Source) (wasm []byte, m capability.Manifest, err error) {
	if wasm, err = src.Read(); err != nil {
		return nil, m, err
	}
	if m, err = capability.Read(wasm); err != nil {
		return nil, m, fmt.Errorf("%w: %w", executor.ErrABI, err)
	}
	opts := instrument.Options{Fuel: src.Meter, CanonicalNaN: m.Deterministic}
	if opts == (instrument.Options{}) {
		return wasm, m, nil
	}
	if wasm, err = instrument.Rewrite(wasm, opts); err != nil {
		return nil, m, fmt.Errorf("%w: %w", executor.ErrABI, err)
	}
	return wasm, m, nil
}
