//! A PKCS#11 3.2 module with ML-DSA, for demonstrations and tests only: kryoptic with its dependencies linked in.
//!
//! kryoptic publishes its logic as a library that exports no C symbol, so this crate exports the three entry points that
//! a PKCS#11 caller looks up; every other function is reached through the tables they return.
//!
//! It holds no logic, no configuration and no keys of its own. `KRYOPTIC_CONF` names the file that lists the slots. The
//! variable belongs to the process, so a process sees one configuration; it may list several slots.
//!
//! Not for production: the keys are a SQLite file that is only as safe as its PIN.

use kryoptic_lib::fns::general::{fn_get_function_list, fn_get_interface, fn_get_interface_list};
use kryoptic_lib::pkcs11::{
    CK_FLAGS, CK_FUNCTION_LIST_PTR_PTR, CK_INTERFACE_PTR, CK_INTERFACE_PTR_PTR, CK_RV, CK_ULONG_PTR, CK_UTF8CHAR_PTR,
    CK_VERSION_PTR,
};

/// `C_GetFunctionList`: the PKCS#11 2.40 function table.
// SAFETY (of the attribute): no other crate in this library defines the symbol.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    fn_get_function_list(list)
}

/// `C_GetInterfaceList`: every interface of the module.
// SAFETY (of the attribute): no other crate in this library defines the symbol.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetInterfaceList(interfaces: CK_INTERFACE_PTR, count: CK_ULONG_PTR) -> CK_RV {
    fn_get_interface_list(interfaces, count)
}

/// `C_GetInterface`: one interface, the newest when the caller does not name any.
// SAFETY (of the attribute): no other crate in this library defines the symbol.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetInterface(
    name: CK_UTF8CHAR_PTR,
    version: CK_VERSION_PTR,
    interface: CK_INTERFACE_PTR_PTR,
    flags: CK_FLAGS,
) -> CK_RV {
    fn_get_interface(name, version, interface, flags)
}
