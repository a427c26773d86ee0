package sftp

import (
	"context"

	"waybill/watcher/wire"
)

// do asks for something that is answered by a status.
func (s *session) do(ctx context.Context, p wire.Draft) error {
	a, err := s.ask(ctx, p)
	if err != nil {
		return err
	}
	return a.Status()
}

// handle asks for something that is answered by a handle.
func (s *session) handle(ctx context.Context, p wire.Draft) (string, error) {
	a, err := s.ask(ctx, p)
	if err != nil {
		return "", err
	}
	return a.Handle()
}

// attributesOf asks for something that is answered by attributes.
func (s *session) attributesOf(ctx context.Context, p wire.Draft) (attributes, error) {
	a, err := s.ask(ctx, p)
	if err != nil {
		return attributes{}, err
	}
	attrs, err := a.Attrs()
	return attributes(attrs), err
}

func (s *session) lstat(ctx context.Context, path string) (attributes, error) {
	return s.attributesOf(ctx, wire.Begin(wire.Lstat).Text(path))
}

func (s *session) rename(ctx context.Context, from, to string) error {
	return s.do(ctx, wire.Begin(wire.Rename).Text(from).Text(to))
}

func (s *session) posixRename(ctx context.Context, from, to string) error {
	return s.do(ctx, wire.Begin(wire.Extended).Text(wire.PosixRename).Text(from).Text(to))
}

func (s *session) fsync(ctx context.Context, handle string) error {
	return s.do(ctx, wire.Begin(wire.Extended).Text(wire.Fsync).Text(handle))
}

func (s *session) remove(ctx context.Context, path string) error {
	return s.do(ctx, wire.Begin(wire.Remove).Text(path))
}

func (s *session) mkdir(ctx context.Context, path string) error {
	return s.do(ctx, wire.Begin(wire.Mkdir).Text(path).Attrs(wire.Attrs{}))
}

func (s *session) openFile(ctx context.Context, path string, flags uint32) (string, error) {
	return s.handle(ctx, wire.Begin(wire.Open).Text(path).Uint32(flags).Attrs(wire.Attrs{}))
}

// startRead asks for n bytes from an offset on. The answer is waited for elsewhere.
func (s *session) startRead(ctx context.Context, handle string, off int64, n int) (*call, error) {
	const besides = 4 << 10 // a status with its text may come instead
	return s.start(ctx, wire.Begin(wire.Read).Text(handle).Uint64(uint64(off)).Uint32(uint32(n)), n+besides)
}

func (s *session) write(ctx context.Context, handle string, off int64, b []byte) error {
	return s.do(ctx, wire.Begin(wire.Write).Text(handle).Uint64(uint64(off)).Bytes(b))
}

func (s *session) closeHandle(ctx context.Context, handle string) error {
	return s.do(ctx, wire.Begin(wire.Close).Text(handle))
}

// realpath is what the server makes of a path: absolute, and with many servers without links.
func (s *session) realpath(ctx context.Context, path string) (string, error) {
	a, err := s.ask(ctx, wire.Begin(wire.Realpath).Text(path))
	if err != nil {
		return "", err
	}
	for n, err := range a.Names() {
		return n.Name, err // there are no others
	}
	return "", wire.Broken("no name for a path")
}
