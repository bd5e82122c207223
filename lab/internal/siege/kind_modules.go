package siege

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// puts makes a hostile call that sends a module.
func puts(make func(r *rand.Rand) []byte) func(context.Context, *caller) (Response, error) {
	return func(ctx context.Context, c *caller) (Response, error) {
		wasm := make(c.rand)
		return c.ask(ctx, put(sha256.Sum256(wasm), len(wasm)), wasm)
	}
}

// put is the frame that a module of that digest and size follows.
func put(d [32]byte, size int) []byte {
	return wire.AppendControl(nil, wire.TypePut, wire.Put{Digest: d, Size: size})
}

// badModule is the answer to a module that a host cannot load.
var badModule = either(fail(offload.CodeBadModule))

// Modules that are none, that a host refuses, or that are not what they were announced as.
var wrongModules = []Kind{
	{Name: "put-garbage", Share: 5, Allowed: badModule, do: puts(func(r *rand.Rand) []byte { return randomBytes(r, 1+r.IntN(2000)) })},
	{Name: "put-flipped", Share: 5, Allowed: badModule, do: puts(flipped)},
	{Name: "put-cut", Share: 5, Allowed: badModule, do: puts(func(r *rand.Rand) []byte { return cut(r, hostileCode) })},
	{Name: "put-other-digest", Share: 5, Allowed: badModule, do: func(ctx context.Context, c *caller) (Response, error) {
		return c.ask(ctx, put(randomDigest(c.rand), len(Guest)), Guest)
	}},
	{Name: "put-no-guest", Share: 5, Allowed: badModule, do: puts(func(r *rand.Rand) []byte {
		return Distinct([]byte("\x00asm\x01\x00\x00\x00"), r.Uint64())
	})},
	{Name: "put-manifest", Share: 5, Allowed: badModule, do: puts(func(r *rand.Rand) []byte {
		return withManifest(Distinct(Guest, r.Uint64()), `{"host":["bungee_egress"],"no such key":1}`)
	})},
	{Name: "put-denied", Share: 5, Allowed: either(fail(offload.CodeDenied)), do: puts(func(r *rand.Rand) []byte {
		return withManifest(Distinct(Guest, 1), `{"host":["bungee_egress"],"connect":["169.254.169.254:80"]}`)
	})},
	{Name: "put-import-not-asked", Share: 5, Allowed: badModule, do: puts(func(r *rand.Rand) []byte { return Distinct(hostileCode, 1) })},
	{Name: "put-start-traps", Share: 1, Allowed: badModule, do: puts(func(r *rand.Rand) []byte {
		return program{start: true, functions: []function{{code: []byte{opUnreachable}}}}.wasm()
	})},
	{Name: "put-cut-short", Share: 5, Allowed: protocolViolated, do: func(ctx context.Context, c *caller) (Response, error) {
		return c.ask(ctx, put(guestDigest, len(Guest)), cut(c.rand, Guest))
	}},
	{Name: "put-large", Share: 5, Allowed: either(fail(offload.CodeTooLarge)), do: func(ctx context.Context, c *caller) (Response, error) {
		return c.ask(ctx, put(randomDigest(c.rand), wire.MaxModule+1+c.rand.IntN(1<<40)))
	}},
	{Name: "put-negative", Share: 5, Allowed: either(fail(offload.CodeTooLarge)), do: func(ctx context.Context, c *caller) (Response, error) {
		return c.ask(ctx, put(randomDigest(c.rand), -c.rand.IntN(1<<40)))
	}},
}

// flipped is the hostile module's head with bits that are wrong, so that it is no module.
func flipped(r *rand.Rand) []byte {
	b := append([]byte(nil), hostileCode...)
	b[r.IntN(8)] ^= 1 << r.IntN(8)
	return b
}
