package main

import "context"

type serveCmd struct{}
type lookupCmd struct{}
type explainCmd struct{}
type doctorCmd struct{}
type benchCmd struct{}
type apiServer struct{ url string }

func (n *node) listenAPI(ctx context.Context) (*apiServer, error) { return &apiServer{}, nil }
func (a *apiServer) serve(ctx context.Context) error              { <-ctx.Done(); return nil }
func (serveCmd) Run() error                                       { return nil }
func (lookupCmd) Run() error                                      { return nil }
func (explainCmd) Run() error                                     { return nil }
func (doctorCmd) Run() error                                      { return nil }
func (benchCmd) Run() error                                       { return nil }
