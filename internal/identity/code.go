package identity

import (
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// A Code lets who has it enrol: it gets the certificate of one ID, once, and knows by the code
// that it speaks with the right manager. As text it has 52 letters and digits.
type Code struct {
	Secret    [16]byte
	Authority Fingerprint
}

// String returns the code as ParseCode reads it.
func (c Code) String() string {
	return codeText.EncodeToString(append(c.Secret[:], c.Authority[:]...))
}

var codeText = base32.StdEncoding.WithPadding(base32.NoPadding)

// ParseCode reads a code, in upper or lower case.
func ParseCode(s string) (c Code, err error) {
	const length = 52
	if len(s) != length {
		return c, fmt.Errorf("a code has %d letters and digits, not %d", length, len(s))
	}
	b, err := codeText.DecodeString(strings.ToUpper(s))
	if err != nil {
		return c, errors.New("a code has the letters A to Z and the digits 2 to 7 only")
	}
	copy(c.Secret[:], b)
	copy(c.Authority[:], b[len(c.Secret):])
	if !strings.EqualFold(c.String(), s) {
		return Code{}, errors.New("the code is not as it was given: a letter is wrong")
	}
	return c, nil
}
