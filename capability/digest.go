package capability

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// minDigest is how many hex digits of a digest an entry of modules has at least: among 2^64 no
// two modules begin alike by chance. Who can spend 2^64 hashes can make one that does, against
// which the whole digest helps.
const minDigest = 16

// Runs returns nil if the tenant may run the module with that SHA-256, whatever it asks for;
// [Rules.Grant] decides about that. The error is a [*Refusal], which has the whole digest.
func (r Rules) Runs(digest [sha256.Size]byte) error {
	w := &weighing{Rules: r, t: cmp.Or(r.table, &table{})}
	module := hex.EncodeToString(digest[:])
	for _, m := range w.t.Modules {
		if m == all || strings.HasPrefix(module, strings.ToLower(m)) {
			return nil
		}
	}
	w.refuse("modules", fmt.Sprintf("%q", module), fmt.Sprintf("modules = [%q]", module))
	return w.refused[0]
}

// goodDigest complains of an entry of modules that is neither a digest, or the beginning of
// one, nor "*".
func goodDigest(entry string) error {
	digits := strings.Trim(entry, "0123456789abcdefABCDEF") == ""
	if entry == all || digits && minDigest <= len(entry) && len(entry) <= 2*sha256.Size {
		return nil
	}
	return fmt.Errorf("%q is no digest of a module; write the hex digits that sha256sum prints, the first %d at least, or \"*\" for all modules", clip(entry), minDigest)
}
