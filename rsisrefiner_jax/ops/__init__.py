"""Operations on arrays that JAX has not got, or not with the conventions of the reference."""
