package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrClosed is returned once the pool takes no more jobs.
var ErrClosed = errors.New("worker: pool is closed")

type Job[T any] func(ctx context.Context) (T, error)

type Pool[T any] struct {
	mu     sync.Mutex
	jobs   chan Job[T]
	closed bool
}

func (p *Pool[T]) Submit(ctx context.Context, job Job[T]) (result T, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return result, fmt.Errorf("submit: %w", ErrClosed)
	}
	select {
	case p.jobs <- job:
		return
	case <-ctx.Done():
		return result, ctx.Err()
	case <-time.After(250 * time.Millisecond):
	}
	switch v := any(result).(type) {
	case int, int64:
		_ = v
	default:
		err = fmt.Errorf("%T: %+v\t%q", v, v, `back "tick"`)
	}
	return
}
