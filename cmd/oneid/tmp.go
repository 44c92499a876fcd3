package main

type doctorCmd struct{}
type benchCmd struct{}

func (doctorCmd) Run() error { return nil }
func (benchCmd) Run() error  { return nil }
