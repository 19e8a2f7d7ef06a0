//! Small systems of linear equations with a symmetric positive definite matrix.

/// Unknowns.
pub(super) const N: usize = 21;
/// A column.
pub(super) type Vector = [f64; N];
/// By row.
pub(super) type Matrix = [[f64; N]; N];

/// The lower triangle L of a matrix that is L times its transpose (Cholesky).
#[derive(Debug, Clone)]
pub(super) struct Root(Matrix);

impl Root {
    /// None when `matrix` is not positive definite, within what a float can tell.
    pub(super) fn of(matrix: &Matrix) -> Option<Self> {
        let mut root = [[0.0; N]; N];
        for row in 0..N {
            for column in 0..=row {
                let known: f64 = (0..column).map(|k| root[row][k] * root[column][k]).sum();
                let rest = matrix[row][column] - known;
                root[row][column] = match row == column {
                    true if rest > 0.0 && rest.is_finite() => rest.sqrt(),
                    true => return None,
                    false => rest / root[column][column],
                };
            }
        }
        Some(Self(root))
    }

    /// The x for which the matrix times x is `right`.
    pub(super) fn solve(&self, right: &Vector) -> Vector {
        let mut half = [0.0; N];
        for row in 0..N {
            let known: f64 = (0..row).map(|k| self.0[row][k] * half[k]).sum();
            half[row] = (right[row] - known) / self.0[row][row];
        }
        self.solve_transposed(&half)
    }

    /// The x for which L's transpose times x is `right`: of independent normal numbers, it makes
    /// ones whose covariance is the inverse of the matrix.
    pub(super) fn solve_transposed(&self, right: &Vector) -> Vector {
        let mut found = [0.0; N];
        for row in (0..N).rev() {
            let known: f64 = (row + 1..N).map(|k| self.0[k][row] * found[k]).sum();
            found[row] = (right[row] - known) / self.0[row][row];
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_solution_put_in_again_gives_the_right_side() {
        let mut matrix = [[0.0; N]; N];
        for (row, cells) in matrix.iter_mut().enumerate() {
            for (column, cell) in cells.iter_mut().enumerate() {
                *cell = 1.0 / (1.0 + row.abs_diff(column) as f64);
            }
            cells[row] += 2.0;
        }
        let right: Vector = std::array::from_fn(|at| (at as f64).sin());
        let found = Root::of(&matrix).unwrap().solve(&right);
        for (row, wanted) in matrix.iter().zip(right) {
            let product: f64 = row.iter().zip(found).map(|(a, b)| a * b).sum();
            assert!((product - wanted).abs() < 1e-9, "{product} {wanted}");
        }
        matrix[3][3] = -1.0;
        assert!(Root::of(&matrix).is_none());
    }
}
