package capability

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Size is a number of bytes. Its text is a number and a unit: B, KiB, MiB, GiB or TiB,
// such as "64 MiB" or "64MiB". A number without a unit is in bytes.
type Size int64

var sizeUnits = []string{"TiB", "GiB", "MiB", "KiB", "B"}

// UnmarshalText reads a size. Fractions and negative numbers are errors.
func (s *Size) UnmarshalText(text []byte) error {
	number, shift := strings.TrimSpace(string(text)), 0
	for i, unit := range sizeUnits {
		if n, ok := strings.CutSuffix(number, unit); ok {
			number, shift = strings.TrimSpace(n), 10*(len(sizeUnits)-1-i)
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is no size; write one such as \"64 MiB\", with B, KiB, MiB, GiB or TiB", clip(string(text)))
	}
	*s = Size(n << shift)
	return nil
}

// String returns the size in the largest unit in which it is a whole number.
func (s Size) String() string {
	for i, unit := range sizeUnits {
		if one := Size(1) << (10 * (len(sizeUnits) - 1 - i)); s != 0 && s%one == 0 {
			return fmt.Sprintf("%d %s", s/one, unit)
		}
	}
	return "0 B"
}

// maxShown bounds what an error quotes of what a file or a module holds.
const maxShown = 128

func clip(s string) string { return s[:min(len(s), maxShown)] }
