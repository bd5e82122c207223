package abi

import (
	"strconv"
	"sync"
)

// Codes of errors that are not the function's own: a guest answers with them in place of a
// reply that is over [MaxReply], and to a request that it cannot read.
const (
	CodeTooLarge = "bungee.too_large"
	CodeRequest  = "bungee.request"
)

// registered are the errors that are known by a code on both sides of the network.
var registered = struct {
	mu     sync.RWMutex
	byCode map[string]error
	codes  []string // in order of registration
}{byCode: map[string]error{}}

// RegisterError makes code stand for err. It panics when code stands for another error.
func RegisterError(code string, err error) {
	registered.mu.Lock()
	defer registered.mu.Unlock()
	old, ok := registered.byCode[code]
	if ok && !Same(old, err) {
		panic("offload: error code " + strconv.Quote(code) + " is registered for two errors")
	}
	if !ok {
		registered.byCode[code] = err
		registered.codes = append(registered.codes, code)
	}
}

// maxLike bounds how many registered errors one error can say that it is.
const maxLike = 16

// Identity returns the code that stands for err itself, "" for none, and else the codes of
// those errors that err says by a method Is to be. It does not look at what err wraps.
func Identity(err error) (code string, like []string) {
	registered.mu.RLock()
	defer registered.mu.RUnlock()
	for _, c := range registered.codes {
		if Same(err, registered.byCode[c]) {
			return c, nil
		}
	}
	is, ok := err.(interface{ Is(error) bool })
	for _, c := range registered.codes {
		if ok && len(like) < maxLike && is.Is(registered.byCode[c]) {
			like = append(like, c)
		}
	}
	return "", like
}

// Same is a == b, and false where these cannot be compared.
func Same(a, b error) (same bool) {
	defer func() { _ = recover() }()
	return a == b
}

// RegisteredError returns the error that code stands for, nil when it stands for none.
func RegisteredError(code string) error {
	registered.mu.RLock()
	defer registered.mu.RUnlock()
	return registered.byCode[code]
}
