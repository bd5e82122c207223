//go:build !wasip1

// Guests do without what is here: it would make each of them 0.35 MB larger.

package offload

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
)

// errModule says that an embedded module does not match its digest.
var errModule = moduleError{}

type moduleError struct{}

func (moduleError) Error() string {
	return `embedded module does not match its digest; run "go generate" again`
}

func (moduleError) ErrorCode() Code { return CodeBadModule }

// String returns the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// maxModule bounds a module's size in bytes. The protocol has the same bound.
const maxModule = 64 << 20

// Wasm returns the module's bytes. When they do not match Digest, the error's code is
// CodeBadModule.
func (m *Module) Wasm() ([]byte, error) {
	z, err := gzip.NewReader(strings.NewReader(m.Gzip))
	if err != nil {
		return nil, errModule
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(z, maxModule+1)); err != nil || b.Len() > maxModule {
		return nil, errModule
	}
	if sha256.Sum256(b.Bytes()) != m.Digest {
		return nil, errModule
	}
	return b.Bytes(), nil
}
