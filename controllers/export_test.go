package controllers

// Hurry is how ApplicationTokens get into the queue of those that cannot wait.
var Hurry = hurry
