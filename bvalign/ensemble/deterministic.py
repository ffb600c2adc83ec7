"""Operations that PyTorch refuses under `--trainer.deterministic=true`, told in one line."""

_REFUSAL = " does not have a deterministic implementation"


def told_nondeterministic(error: BaseException) -> str | None:
    """Names the operation that PyTorch has refused, and what to do; None for any other error."""
    operation, refusal, _ = str(error).partition(_REFUSAL)
    if not (isinstance(error, RuntimeError) and refusal):
        return None
    return (
        f"trainer.deterministic=true: PyTorch has no deterministic {operation}; use another "
        "--model.arch, or --trainer.deterministic=warn, with which a run is not repeated to the bit"
    )
