# Stop the daemon in an orderly way. Ending the task sends no Ctrl-C, so the stop goes through the inbox of the data folder.
param([Parameter(Mandatory = $true)][string]$DataDir, [int]$Seconds = 60)
dudzian stop --keep-positions --data-dir $DataDir --timeout $Seconds
exit $LASTEXITCODE
