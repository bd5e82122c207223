package wire

import "slices"

// maxHolding bounds the bytes of leases and their addresses in one Holding: what a body has room for, with heads of
// 3 bytes for each lease, and 1 and 2 for its addresses, which size counts.
const maxHolding = MaxControl - 1<<10

// Cut returns the frames of a Holding whose list may be of any length.
func (f Holding) Cut() (frames []Holding) {
	rest, at := f.Leases, f.Addresses
	for {
		n, size := 0, 0
		for n < min(len(rest), MaxLeases) {
			more := len(rest[n]) + sizeOf(at, n)
			if n > 0 && size+more > maxHolding {
				break
			}
			size += more
			n++
		}
		here := min(n, len(at))
		frames = append(frames, Holding{Leases: rest[:n:n], More: n < len(rest), Addresses: at[:here:here]})
		if rest, at = rest[n:], at[here:]; len(rest) == 0 {
			return frames
		}
	}
}

// sizeOf returns how many bytes the addresses of lease n take.
func sizeOf(all [][]string, n int) (size int) {
	if n >= len(all) {
		return 0
	}
	size = 1
	for _, addr := range all[n] {
		size += 2 + len(addr)
	}
	return size
}

// AddressesOf returns those of lease i.
func (f Holding) AddressesOf(i int) []string {
	if i < len(f.Addresses) {
		return f.Addresses[i]
	}
	return nil
}

// Cut returns the frames of an Adopted whose list of revoked IDs may be of any length.
func (f Adopted) Cut() (frames []Adopted) {
	n := parts(len(f.Revoked), MaxRevoked)
	for i := range n {
		a := f
		a.Revoked, a.More = part(f.Revoked, i, MaxRevoked), i < n-1
		frames = append(frames, a)
	}
	return frames
}

// Cut returns the frames of a Beat whose lists may be of any length.
func (f Beat) Cut() (frames []Beat) {
	n := max(parts(len(f.Modules), MaxBeatModules), parts(len(f.Sessions), MaxBeatSessions))
	for i := range n {
		b := f
		b.Modules, b.Sessions, b.More = part(f.Modules, i, MaxBeatModules), part(f.Sessions, i, MaxBeatSessions), i < n-1
		frames = append(frames, b)
	}
	return frames
}

// MaxJoined bounds each list that comes in several frames: more leases than a host has connections.
const MaxJoined = 8192

// Cut returns f as frames that fit: several if it is a Holding, an Adopted or a Beat with longer lists.
func Cut(f ManagerFrame) []ManagerFrame {
	switch f := f.(type) {
	case Holding:
		return framesOf(f.Cut())
	case Adopted:
		return framesOf(f.Cut())
	case Beat:
		return framesOf(f.Cut())
	}
	return []ManagerFrame{f}
}

func framesOf[T ManagerFrame](list []T) (all []ManagerFrame) {
	for _, f := range list {
		all = append(all, f)
	}
	return all
}

// Join adds f to the frames before it that said More, which Join has made one; nil: there were none. It
// says whether more follow. Whole lists have More false.
func Join(before, f ManagerFrame) (whole ManagerFrame, more bool, err error) {
	switch f := f.(type) {
	case Holding:
		b, same := before.(Holding)
		more, f.More = f.More, false
		if len(f.Addresses) > 0 { // those before it have none if they are fewer
			none := make([][]string, len(b.Leases)-len(b.Addresses))
			f.Addresses = slices.Concat(b.Addresses, none, f.Addresses)
		} else {
			f.Addresses = b.Addresses
		}
		f.Leases = slices.Concat(b.Leases, f.Leases)
		return joined(before, f, same, len(f.Leases), more)
	case Adopted:
		b, same := before.(Adopted)
		more, f.More = f.More, false
		f.Revoked = slices.Concat(b.Revoked, f.Revoked)
		return joined(before, f, same && b.Run == f.Run && b.Epoch == f.Epoch, len(f.Revoked), more)
	case Beat:
		b, same := before.(Beat)
		more, f.More = f.More, false
		f.Modules, f.Sessions = slices.Concat(b.Modules, f.Modules), slices.Concat(b.Sessions, f.Sessions)
		return joined(before, f, same && b.Number == f.Number, max(len(f.Modules), len(f.Sessions)), more)
	}
	return joined(before, f, false, 0, false)
}

// joined checks what Join has made: same says that the frames before are of the same list.
func joined(before, whole ManagerFrame, same bool, n int, more bool) (ManagerFrame, bool, error) {
	switch {
	case before != nil && !same:
		return nil, false, malformed("frame 0x%02x in the middle of a list of 0x%02x", whole.frame(), before.frame())
	case n > MaxJoined:
		return nil, false, malformed("a list of %d elements in frames 0x%02x, over %d", n, whole.frame(), MaxJoined)
	}
	return whole, more, nil
}

// parts returns how many parts of most elements a list of n has, at least one.
func parts(n, most int) int { return max(1, (n+most-1)/most) }

// part returns part i of list, nil where it has ended.
func part[T any](list []T, i, most int) []T {
	from, to := min(i*most, len(list)), min((i+1)*most, len(list))
	if from == to {
		return nil
	}
	return list[from:to:to]
}
