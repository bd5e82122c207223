//go:build cgo

package wasmtime

// #include "guest.h"
import "C"

import (
	"fmt"
	"strings"

	"github.com/bungee-xr/bungee/executor"
)

// ErrSlots says that all [Config].Instances slots are in use. It is also
// [executor.ErrQuota], so a pool waits for one of its own instances.
var ErrSlots error = slotsError{}

type slotsError struct{}

func (slotsError) Error() string {
	return "engine has no free slot for an instance; close one, or raise Config.Instances"
}

func (slotsError) Is(target error) bool { return target == executor.ErrQuota }

// maxMessage bounds what is taken of a message, which may quote the module.
const maxMessage = 2 << 10

// text returns the message of r and frees it.
func text(r C.bungee_result) string {
	s := C.GoStringN(r.message.data, C.int(min(r.message.size, maxMessage)))
	C.bungee_free(r.message)
	return strings.TrimRight(s, "\x00\n") // a trap's ends as a C string does
}

// refused returns the error of an instance that wasmtime did not make. It tells by
// its message only, which TestRefused and TestSlots hold it to.
func (i *instance) refused(message string) error {
	var most uint64
	switch {
	case strings.Contains(message, "maximum concurrent"):
		return ErrSlots
	case scan(message, "table minimum size of %d", &most):
		return fmt.Errorf("%w: it begins with up to %d table elements; the limit is %d",
			executor.ErrABI, most*i.module.tables.Load(), i.link.Limits.Table)
	case strings.Contains(message, "limit exceeded"):
		return fmt.Errorf("%w: %q", executor.ErrABI, message)
	}
	return fmt.Errorf("make an instance: %q; raise vm.max_map_count, or lower the number of instances", message)
}

// tableCount returns how many tables a module has that was refused for having more
// than one, 0 when that is not why.
func tableCount(message string) uint64 {
	var n uint64
	scan(message, "resource limit exceeded: table count too high at %d", &n)
	return n
}

// scan reads the number that format holds from the beginning of message.
func scan(message, format string, n *uint64) bool {
	_, err := fmt.Sscanf(message, format, n)
	return err == nil
}
