package sftp

import (
	"context"
	"fmt"
)

// do asks for something that is answered by a status.
func (s *session) do(ctx context.Context, p packet) error {
	a, err := s.ask(ctx, p)
	if err != nil {
		return err
	}
	return a.status()
}

// handle asks for something that is answered by a handle.
func (s *session) handle(ctx context.Context, p packet) (string, error) {
	a, err := s.ask(ctx, p)
	if err != nil {
		return "", err
	}
	body, err := a.expect(fxHandle)
	if err != nil {
		return "", err
	}
	h := body.text()
	if body.bad || len(h) > 256 {
		return "", fmt.Errorf("%w: a handle of %d bytes", errProtocol, len(h))
	}
	return h, nil
}

// attributesOf asks for something that is answered by attributes.
func (s *session) attributesOf(ctx context.Context, p packet) (attributes, error) {
	a, err := s.ask(ctx, p)
	if err != nil {
		return attributes{}, err
	}
	return a.attributes()
}

func (a answer) attributes() (attributes, error) {
	body, err := a.expect(fxAttrs)
	if err != nil {
		return attributes{}, err
	}
	attrs := body.attributes()
	if body.bad {
		return attrs, fmt.Errorf("%w: attributes cut short", errProtocol)
	}
	return attrs, nil
}

func (s *session) lstat(ctx context.Context, path string) (attributes, error) {
	return s.attributesOf(ctx, newPacket(fxLstat).text(path))
}

func (s *session) rename(ctx context.Context, from, to string) error {
	return s.do(ctx, newPacket(fxRename).text(from).text(to))
}

func (s *session) posixRename(ctx context.Context, from, to string) error {
	return s.do(ctx, newPacket(fxExtended).text(extPosixRename).text(from).text(to))
}

func (s *session) remove(ctx context.Context, path string) error {
	return s.do(ctx, newPacket(fxRemove).text(path))
}

func (s *session) mkdir(ctx context.Context, path string) error {
	return s.do(ctx, newPacket(fxMkdir).text(path).number(0))
}

func (s *session) openFile(ctx context.Context, path string, flags uint32) (string, error) {
	return s.handle(ctx, newPacket(fxOpen).text(path).number(flags).number(0))
}

func (s *session) closeHandle(ctx context.Context, handle string) error {
	return s.do(ctx, newPacket(fxClose).text(handle))
}

// realpath is what the server makes of a path: absolute, and with many servers without links.
func (s *session) realpath(ctx context.Context, path string) (string, error) {
	a, err := s.ask(ctx, newPacket(fxRealpath).text(path))
	if err != nil {
		return "", err
	}
	body, err := a.expect(fxName)
	if err != nil {
		return "", err
	}
	if n := body.number(); n != 1 {
		return "", fmt.Errorf("%w: %d names for one path", errProtocol, n)
	}
	real := body.text()
	if body.bad {
		return "", fmt.Errorf("%w: a name cut short", errProtocol)
	}
	return real, nil
}
