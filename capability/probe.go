package capability

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ProbeSection is the name of the custom section that holds what a module is probed with: entries one behind the
// other, each the number of a guest function, the size of a request, and the request. Numbers are 32 bits,
// little-endian.
const ProbeSection = "bungee.probe"

// Bounds of a [ProbeSection].
const (
	MaxProbes       = 8       // entries
	MaxProbeSection = 1 << 20 // bytes, all entries together
)

// A Probe is a call that shows how long calls of its module take. To run it changes nothing outside its instance.
type Probe struct {
	Fn      uint32 // the number of a guest function
	Request []byte
}

// ReadProbes returns what a module is to be probed with, nothing when it has no [ProbeSection]. It keeps no part of wasm.
// Its error is ErrWasm when wasm has no layout of a module, as of [Read], and else says what is wrong with the section.
func ReadProbes(wasm []byte) (probes []Probe, err error) {
	found := false
	err = sections(wasm, func(s section) error {
		body, ok := s.custom(ProbeSection)
		switch {
		case !ok:
			return nil
		case found:
			return fmt.Errorf("the module has two sections %q; it may have one", ProbeSection)
		}
		found = true
		probes, err = parseProbes(body)
		return err
	})
	if err != nil {
		return nil, err
	}
	return probes, nil
}

// MaxOnlyProbes bounds what [OnlyProbes] returns, in bytes.
const MaxOnlyProbes = 2*(MaxProbeSection+64) + 8

// OnlyProbes returns a module that has of wasm what [ReadProbes] reads, right or wrong, and nothing else: of that the
// probes are, and the error is, as of wasm. Nil: wasm has no [ProbeSection]. It keeps no part of wasm.
func OnlyProbes(wasm []byte) []byte {
	only := bytes.Clone(preamble)
	n := 0
	_ = sections(wasm, func(s section) error { // what is no module has none
		if body, ok := s.custom(ProbeSection); ok && n < 2 { // a second one is wrong, and more are no more so
			n++
			only = appendCustom(only, ProbeSection, body[:min(len(body), MaxProbeSection+1)])
		}
		return nil
	})
	if n == 0 {
		return nil
	}
	return only
}

var errProbeCutOff = fmt.Errorf("section %q: an entry is cut off; write its function and size, 32 bits each, and the request", ProbeSection)

// parseProbes reads the body of a [ProbeSection].
func parseProbes(body []byte) (probes []Probe, err error) {
	switch {
	case len(body) == 0:
		return nil, errors.New("section \"" + ProbeSection + "\" is empty; leave it out, or write an entry")
	case len(body) > MaxProbeSection:
		return nil, fmt.Errorf("section %q has %d bytes; at most %d are read", ProbeSection, len(body), MaxProbeSection)
	}
	body = append([]byte(nil), body...)
	for len(body) > 0 {
		if len(probes) == MaxProbes {
			return nil, fmt.Errorf("section %q has more than %d entries", ProbeSection, MaxProbes)
		}
		if len(body) < 8 {
			return nil, errProbeCutOff
		}
		fn, size := binary.LittleEndian.Uint32(body), binary.LittleEndian.Uint32(body[4:])
		body = body[8:]
		if uint64(size) > uint64(len(body)) {
			return nil, errProbeCutOff
		}
		probes = append(probes, Probe{fn, body[:size:size]})
		body = body[size:]
	}
	return probes, nil
}

// AppendProbes returns a copy of wasm that is probed with probes, in place of earlier ones; without any it has no
// [ProbeSection]. The error says which bound probes are over, or is ErrWasm when wasm is not a module.
func AppendProbes(wasm []byte, probes []Probe) ([]byte, error) {
	var body []byte
	for _, p := range probes {
		body = binary.LittleEndian.AppendUint32(body, p.Fn)
		body = binary.LittleEndian.AppendUint32(body, uint32(len(p.Request)))
		body = append(body, p.Request...)
	}
	if len(probes) > 0 {
		if _, err := parseProbes(body); err != nil {
			return nil, err
		}
	}
	return replaceCustom(wasm, ProbeSection, body)
}
