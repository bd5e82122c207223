package executor

import "sync"

// A Session is one UE's stay at the host: whom calls are made for. It may be
// used by many goroutines.
type Session struct {
	// Tenant is whose session it is. Nil means nobody's.
	Tenant *Tenant
	// Name tells the session from others of its tenant, in logs.
	Name string

	mu     sync.Mutex
	bill   Bill
	values map[any]any
}

// Bill returns what the calls of the session cost so far.
func (s *Session) Bill() Bill {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bill
}

// Charge adds b to the bills of the session and of its tenant. A nil session
// charges nobody.
func (s *Session) Charge(b Bill) {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.bill.Add(b)
	s.mu.Unlock()
	s.Tenant.charge(b)
}

// Value returns what host functions keep for the session under key: what make
// returns, at the first time.
func (s *Session) Value(key any, make func() any) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	if !ok {
		if s.values == nil {
			s.values = map[any]any{}
		}
		v = make()
		s.values[key] = v
	}
	return v
}
