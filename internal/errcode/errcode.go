// Package errcode keeps the codes by which an error of a marked function is known on
// both sides of the network. Package offload registers them; generated code looks
// them up.
package errcode

import (
	"errors"
	"sync"
)

var registry = struct {
	mu     sync.RWMutex
	byCode map[string]error
	codes  []string // in order of registration: the first that matches wins
}{byCode: map[string]error{}}

// Register makes code stand for err. It panics when code is registered already.
func Register(code string, err error) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if _, ok := registry.byCode[code]; ok {
		panic("offload: error code " + code + " is registered twice")
	}
	registry.byCode[code] = err
	registry.codes = append(registry.codes, code)
}

// Of returns the first code whose error err is, "" when it is none of them.
func Of(err error) string {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	for _, c := range registry.codes {
		if errors.Is(err, registry.byCode[c]) {
			return c
		}
	}
	return ""
}

// Find returns the error that code stands for, nil when it stands for none.
func Find(code string) error {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	return registry.byCode[code]
}
