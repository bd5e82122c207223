// Package marked has the elastic functions whose calls are measured, and the endpoint of
// the channels that are.
package marked

import (
	"context"
	"encoding/binary"
	"errors"
)

//go:generate go tool offloadgen

// AnswerSize is the size of the answers of [Exchange], in bytes.
const AnswerSize = 1 << 10

// exchange touches each byte of request and answers with [AnswerSize] bytes, the first
// eight of which are [Sum] of it.
//
//offload:func deadline=1s idempotent
func exchange(ctx context.Context, request []byte) ([]byte, error) {
	if len(request) < 8 {
		return nil, errors.New("exchange: the request has no word")
	}
	answer := make([]byte, AnswerSize)
	binary.LittleEndian.PutUint64(answer, Sum(request))
	return answer, nil
}

// ExchangeDesc describes [Exchange], for handlers that prepare it.
var ExchangeDesc = &exchangeFunc.Desc

// Sum returns the sum of the little-endian 64-bit words of b. What is over at its end is
// no word.
func Sum(b []byte) (sum uint64) {
	for ; len(b) >= 8; b = b[8:] {
		sum += binary.LittleEndian.Uint64(b)
	}
	return sum
}

// next returns n + 1: a function whose call is all that it costs.
//
//go:noinline
//offload:func deadline=1s idempotent
func next(ctx context.Context, n int) (int, error) { return n + 1, nil }

// Plain is next as the compiler calls it.
func Plain(ctx context.Context, n int) (int, error) { return next(ctx, n) }

// Functions returns the functions of a new instance of this package's module, as native
// code serves them.
func Functions() []func(ctx context.Context, request, dst []byte) []byte {
	l := ledgerEndpoint.Serve()
	return []func(ctx context.Context, request, dst []byte) []byte{exchangeFunc.Serve, nextFunc.Serve, l.Handle, l.Save, l.Restore}
}
