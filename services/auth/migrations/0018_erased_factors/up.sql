-- A second factor that is enrolled while its workspace is erased must not stay behind.
SELECT causeway.refuse_erased('factors', 'workspace_id');
