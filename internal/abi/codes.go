package abi

import (
	"errors"
	"sync"
)

// CodeTooLarge is the code of the error that a guest answers with in place of a reply that
// is over [MaxReply].
const CodeTooLarge = "bungee.too_large"

// registered are the codes by which an error of a marked function is known on both sides
// of the network.
var registered = struct {
	mu     sync.RWMutex
	byCode map[string]error
	codes  []string // in order of registration: the first that matches wins
}{byCode: map[string]error{}}

// RegisterError makes code stand for err. It panics when code is registered already.
func RegisterError(code string, err error) {
	registered.mu.Lock()
	defer registered.mu.Unlock()
	if _, ok := registered.byCode[code]; ok {
		panic("offload: error code " + code + " is registered twice")
	}
	registered.byCode[code] = err
	registered.codes = append(registered.codes, code)
}

// ErrorCode returns the first code whose error matches err, "" if none does.
func ErrorCode(err error) string {
	registered.mu.RLock()
	defer registered.mu.RUnlock()
	for _, c := range registered.codes {
		if errors.Is(err, registered.byCode[c]) {
			return c
		}
	}
	return ""
}

// RegisteredError returns the error that code stands for, nil when it stands for none.
func RegisteredError(code string) error {
	registered.mu.RLock()
	defer registered.mu.RUnlock()
	return registered.byCode[code]
}
