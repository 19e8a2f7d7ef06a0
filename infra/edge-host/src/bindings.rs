//! Generated from `wit/`: the two Spin interfaces that a component may import.

mod generated {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "spin-imports",
        imports: {
            "spin:sqlite/sqlite.[method]connection.execute": async | trappable,
            default: trappable,
        },
        with: {
            "spin:sqlite/sqlite.connection": crate::database::Checkout,
        },
    });
}

pub(crate) use generated::spin::sqlite::sqlite;
pub(crate) use generated::spin::variables::variables;
