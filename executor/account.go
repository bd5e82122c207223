package executor

import "sync"

// An Account is what calls are billed to: one stay of a UE at the host. It may be
// used by many goroutines.
type Account struct {
	// Tenant owns the account. Nil means that no tenant does.
	Tenant *Tenant
	// Name tells the account from others of its tenant, in logs.
	Name string

	party // among those of its tenant

	mu     sync.Mutex
	bill   Bill
	values map[any]any
}

// Bill returns what the calls of the account cost so far.
func (a *Account) Bill() Bill {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bill
}

// Charge adds b to the bills of the account and of its tenant. A nil account
// charges nobody.
func (a *Account) Charge(b Bill) {
	if a == nil {
		return
	}
	a.mu.Lock()
	a.bill.Add(b)
	a.mu.Unlock()
	a.Tenant.Charge(b)
}

// Value returns what host functions keep for the account under key. The first call
// with a key keeps what make returns.
func (a *Account) Value(key any, make func() any) any {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.values[key]
	if !ok {
		if a.values == nil {
			a.values = map[any]any{}
		}
		v = make()
		a.values[key] = v
	}
	return v
}
