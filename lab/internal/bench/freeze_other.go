//go:build !unix

package bench

import "errors"

// freeze fails: this system cannot stop a process.
func (*process) freeze() error { return errors.ErrUnsupported }

// thaw fails, too.
func (*process) thaw() error { return errors.ErrUnsupported }
