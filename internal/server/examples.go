package server

var ()
